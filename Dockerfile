# The image of every role: web, worker, migrations. The build stage holds what building needs; the second one does not.
FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /opt/dispatcher
# The libraries first: as long as the lock stays, this layer does too.
COPY requirements.lock ./
RUN /opt/dispatcher/bin/pip install --require-hashes --no-deps -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY dispatcher dispatcher
COPY templates templates
RUN /opt/dispatcher/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /opt/dispatcher/bin/pip install --no-deps /wheel/*.whl
# What is hot is compiled to C; compiler and all that it needs stay behind.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
COPY requirements-compile.lock tools/compile ./
RUN python -m venv /opt/compiler \
 && /opt/compiler/bin/pip install --require-hashes --no-deps -r requirements-compile.lock \
 && /opt/compiler/bin/python compile --python /opt/dispatcher/bin/python /opt/dispatcher/lib/python3.12/site-packages \
 && /opt/dispatcher/bin/dispatcher --help >/dev/null

FROM python:3.12-slim
# A number, so that Kubernetes can see that this is not root; the folder takes what an embedded part would write.
RUN groupadd --gid 10001 dispatcher \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/dispatcher --create-home --shell /usr/sbin/nologin dispatcher
# A new volume takes owner and rights of the folder that it is laid over.
RUN install --directory --owner=10001 --group=10001 --mode=700 /endings /uploads
COPY --from=build /opt/dispatcher /opt/dispatcher
ENV PATH=/opt/dispatcher/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/dispatcher
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=15s --start-period=20s --retries=3 CMD ["dispatcher", "doctor", "--quick"]
ENTRYPOINT ["dispatcher"]
CMD ["--help"]
