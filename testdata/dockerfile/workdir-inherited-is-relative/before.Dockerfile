FROM busybox
WORKDIR /of/base
