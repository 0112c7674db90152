"""Python and notebooks: facts of one file (`extract`), and the program they make together (`program`)."""
