"""Compare what the catalog pins with what an index, its wheels and upstream's repositories say today.

`questions` makes one question of each pinned fact; `index` and `wheels` ask, and fetch only the parts of a file that are looked at;
`compare` decides without asking anything; `changes` writes what would correct the catalog, as a diff.
"""
