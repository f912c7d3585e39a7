FROM busybox
ONBUILD RUN echo first > /order
ONBUILD RUN echo second >> /order
ONBUILD ENV X=y
