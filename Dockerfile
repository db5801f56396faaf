# One image for the API, the chat and every kb command. Nothing is fetched when a container runs: the base models are in
# the image. Build with --build-arg TORCH_INDEX=<an index with CPU builds of torch> to leave the CUDA libraries out.
FROM python:3.12-slim-bookworm AS build

RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

# The image runs on other processors than the one that builds it: hnswlib without -march=native, for x86-64-v3 (AVX2).
ARG TARGETARCH=amd64
ARG TORCH_INDEX=
ENV HNSWLIB_NO_NATIVE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/kb
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY kb kb
COPY ingest ingest
COPY retrieval retrieval
COPY llm llm
COPY ui ui
RUN if [ "$TARGETARCH" = amd64 ]; then export CXXFLAGS=-march=x86-64-v3; fi \
    && /opt/kb/bin/pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} '.[postgres]' \
    && /opt/kb/bin/kb model install

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /home/kb kb \
    && install -d -o kb -g kb -m 0700 /var/lib/kb /run/kb-secrets
COPY --from=build /opt/kb /opt/kb
COPY --chmod=0755 deploy/with_secrets.sh /usr/local/bin/with-secrets
COPY LICENSE NOTICE /usr/share/doc/kb/
ENV PATH=/opt/kb/bin:$PATH \
    KB_HOME=/var/lib/kb \
    KB_SECRETS=/run/kb-secrets \
    PYTHONUNBUFFERED=1
USER kb
VOLUME /var/lib/kb
EXPOSE 8000 8501
ENTRYPOINT ["with-secrets"]
CMD ["kb", "serve"]
