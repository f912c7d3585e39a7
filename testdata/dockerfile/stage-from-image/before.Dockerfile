FROM busybox
RUN echo x > /x && mkdir -m 700 /d && chown 4:5 /d
