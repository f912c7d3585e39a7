#!/bin/sh
# render.sh TEMPLATE NAME: print TEMPLATE with @NAME@ filled in.
exec sed "s/@NAME@/$2/" "$1"
