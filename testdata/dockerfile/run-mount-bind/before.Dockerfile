FROM busybox
RUN echo base > /etc/base
