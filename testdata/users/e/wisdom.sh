#!/bin/bash
# cowsay and fortune live in /usr/games, which is not on root's PATH.
/usr/games/fortune -s | /usr/games/cowsay
