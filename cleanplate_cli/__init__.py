"""What a person has on their own machine to use a stack, deployed or local: the command ``cleanplate``."""
