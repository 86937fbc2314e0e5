# The operator's image: two stages, no compiler and no pip in the second, user 65532. `tests/integration/test_image.py` executes these steps and starts what comes out.
FROM debian:12-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv
WORKDIR /src
COPY requirements.txt pyproject.toml README.md ./
COPY operator operator
RUN python3 -m venv /opt/swarm-operator \
 && /opt/swarm-operator/bin/pip install --no-cache-dir --require-hashes -r requirements.txt \
 && /opt/swarm-operator/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/swarm-operator/bin/python -m compileall -q /opt/swarm-operator/lib \
 && /opt/swarm-operator/bin/pip uninstall -q -y setuptools pip

FROM debian:12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log
COPY --from=build /opt/swarm-operator /opt/swarm-operator
# The home of a user that /etc/passwd does not know is the choice of the container runtime; without any, openstacksdk does not even load.
ENV PATH=/opt/swarm-operator/bin:$PATH HOME=/nonexistent PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["python", "-m", "swarm_operator"]
CMD ["run", "--all-namespaces", "--log-format", "json"]
