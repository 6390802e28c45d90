"""The first hour of a new owner, played on real SSH hosts: `make first-hour`. Its commands are README's, its transcript is docs/first-hour.md."""
