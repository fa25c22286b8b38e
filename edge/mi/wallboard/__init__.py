"""The wallboard: one page that a room can read, live, and a page for each call.

`day` counts the day, `live` folds what is open, `signs` look at the daemon and the disk, `feed` brings it all to every
viewer, `access` knows who signed in, `routes` answers.
"""
