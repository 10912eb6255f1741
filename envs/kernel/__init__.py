"""The compiled simulator: plain arrays in, plain arrays out; no gym, no logging, no chance."""
