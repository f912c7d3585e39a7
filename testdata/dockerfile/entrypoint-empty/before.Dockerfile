FROM busybox
ENTRYPOINT ["old"]
CMD ["old"]
