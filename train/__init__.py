"""Training with PPO through stable-baselines3; the only room that imports torch."""
