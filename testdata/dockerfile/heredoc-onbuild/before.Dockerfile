FROM busybox
ENV V=parent
ONBUILD RUN <<EOF
echo ran $V > /1
EOF
ONBUILD COPY <<EOF /f
copied $V
EOF
