# Nothing is handed on: `formats.module_of` imports the module of a file.
