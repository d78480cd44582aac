# ringback as an image: built in one stage, run in another that has Python and the program, nothing else.
#   docker build -t ringback .
#   docker run --read-only -p 8302:8302 -v ringback:/var/lib/ringback ringback
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/ringback
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/ringback/bin/python -m pip install --no-cache-dir --disable-pip-version-check ".[fast]" \
    && /opt/ringback/bin/python -m pip uninstall --yes pip \
    && install --directory --mode=0700 /var/lib/ringback

FROM ${BASE}
LABEL org.opencontainers.image.title="ringback" \
      org.opencontainers.image.description="A callback for every API that makes you poll." \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/ringback /opt/ringback
# The number of an account that owns nothing else; by number, so that an orchestrator can see that it is not root.
COPY --from=build --chown=10001:10001 /var/lib/ringback /var/lib/ringback
ENV PATH=/opt/ringback/bin:$PATH \
    HOME=/var/lib/ringback \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RINGBACK_SERVER__LISTEN=0.0.0.0:8302 \
    RINGBACK_STORE__URL=json:/var/lib/ringback
USER 10001:10001
WORKDIR /var/lib/ringback
VOLUME /var/lib/ringback
EXPOSE 8302
HEALTHCHECK --interval=30s --timeout=6s --start-period=30s \
    CMD ["python3", "-c", "import os, urllib.request as web; web.urlopen('http://127.0.0.1:' + os.environ['RINGBACK_SERVER__LISTEN'].rpartition(':')[2] + '/healthz', timeout=5)"]
ENTRYPOINT ["ringback"]
CMD ["serve"]
