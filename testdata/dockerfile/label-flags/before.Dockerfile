FROM busybox
LABEL base=yes a=base
