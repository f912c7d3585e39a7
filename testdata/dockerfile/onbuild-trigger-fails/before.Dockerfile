FROM busybox
ONBUILD COPY missing /
