# One image, three roles, and the deployer. Builds with BuildKit and with the classic builder.
#
#     docker build -t tfe-kit .
#     docker run --rm tfe-kit party --help
#     docker run --rm tfe-kit deployer --help
#
# BASE is any Debian with Python 3.11 to 3.13 as python3, its venv module and OpenSSL 3. A tag moves; who
# wants the same one again names it by its digest:
#
#     docker build --build-arg BASE=python:3.13-slim-trixie@sha256:... -t tfe-kit .

ARG BASE=python:3.13-slim-trixie

# --- packages: what the lock file names --------------------------------------------------------
FROM $BASE AS packages

RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils gcc libc6-dev libssl-dev \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /source
COPY requirements.lock ./
RUN python3 -m venv --without-pip /opt/packages \
 && python3 -m pip --python /opt/packages/bin/python install --no-cache-dir \
      --no-deps --require-hashes --only-binary :all: -r requirements.lock \
 && echo /opt/kit > "$(echo /opt/packages/lib/python3*/site-packages)/kit.pth"

# --- kit: this repository, with its native library ---------------------------------------------
# Apart from the packages, so that a new version of the kit is a small layer over an old large one.
FROM packages AS kit

COPY pyproject.toml setup.py README.md LICENSE ./
COPY party ./party
COPY deployer ./deployer
COPY k8s ./k8s
COPY examples ./examples
RUN python3 -m pip --python /opt/packages/bin/python install --no-cache-dir \
      --no-deps --no-build-isolation --no-index --target /opt/kit . \
 && rm /opt/kit/party/native/*.[ch] \
 && /opt/packages/bin/python -m compileall -q /opt/kit

# --- needed: the packages, less what the kit never uses ----------------------------------------
# A third of what came goes:
#   headers and static archives (TensorFlow's alone are 290 MB), test suites, type stubs;
#   the symbol table of libtensorflow_cc, of no use but to a debugger (200 MB);
#   Arrow's clients of remote services, the asyncio twin of the kubernetes client.
# What is left, in MB: TensorFlow 790 (550 of it the library with all of its kernels), Arrow 110,
# the kubernetes client 55, NumPy 50, everything else 140; Debian and Python under it 130.
FROM packages AS needed

RUN cd /opt/packages/lib/python3*/site-packages \
 && rm -rf tensorflow/include tensorflow/xla_aot_runtime_src \
           pyarrow/include pyarrow/src pyarrow/*_flight* pyarrow/*_s3* pyarrow/*_cpp_tests* \
           kubernetes/aio operations pkgconfig libsodium.* \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && find . \( -name '*_test.py' -o -name '*.a' -o -name '*.pyi' -o -name '*.[ch]' -o -name '*.lib' \) -delete \
 && strip --strip-unneeded tensorflow/libtensorflow_cc.so.2 tensorflow/libtensorflow_framework.so.2

# --- the image: no compiler, no package manager's cache, no tests ------------------------------
FROM $BASE

ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="tfe-kit" \
      org.opencontainers.image.description="Train a model together without showing each other any data" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.created=$CREATED \
      org.opencontainers.image.source=$SOURCE

# Nobody needs to become another user in here.
RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} +

# A number that no user of a usual host has; a volume given as fsGroup 10001 is writable.
RUN groupadd --gid 10001 party \
 && useradd --uid 10001 --gid 10001 --home-dir /state --no-create-home --shell /usr/sbin/nologin party \
 && mkdir -m 0770 /state \
 && chown 10001:10001 /state

COPY --from=needed /opt/packages /opt/packages
COPY --from=kit /opt/kit /opt/kit

# Nothing is written outside /state and /tmp, so that the root file system can be read-only. No package
# here extends pydantic; to look for one that does is a part of every process's start.
ENV PATH=/opt/kit/bin:/opt/packages/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYDANTIC_DISABLE_PLUGINS=__all__ \
    TF_USE_LEGACY_KERAS=1

USER 10001:10001
WORKDIR /state
EXPOSE 7000 8080

# Kubernetes has probes of its own. By hand, this asks a party that was told --status 0.0.0.0:8080.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]

CMD ["party", "--help"]
