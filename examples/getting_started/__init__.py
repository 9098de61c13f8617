"""The smallest whole workflow: three steps in a row, and how to wait for the end of them."""
