"""Audio of history items: formats, names, folders, zips, verification."""
