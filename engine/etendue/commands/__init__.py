"""One module per subcommand, found by `etendue.cli`: the file `bake.py` is `etendue bake`.

A command module imports nothing heavy at its top and defines

* `run(...)`: a typer function; its docstring is the help text; it may return an exit code;
* `EXAMPLES`: a tuple of command lines shown at the end of its help.

A folder is a group of subcommands: `plugins/list.py` is `etendue plugins list`; its `__init__.py`
has the help text of the group as docstring, `EXAMPLES`, and `ORDER`, the names in order of use.

Modules whose name begins with an underscore are not commands.
"""
