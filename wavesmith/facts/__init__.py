"""Compare what the catalog pins with what an index, its wheels and upstream's repositories say today.

`questions` makes one question of each pinned fact; `index` and `wheels` ask, and fetch only the parts of a file that are looked at;
`compare` judges without asking anything; `changes` writes down what would mend the catalog, as a diff.
"""
