"""The report of a run, as one page of HTML and as Markdown: made from its files alone."""
