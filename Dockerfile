# The operator's image: two stages, no compiler and no pip in the second, user 65532.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.txt pyproject.toml README.md ./
COPY operator operator
RUN python -m venv /opt/swarm-operator \
 && /opt/swarm-operator/bin/pip install --no-cache-dir --require-hashes -r requirements.txt \
 && /opt/swarm-operator/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/swarm-operator/bin/python -m compileall -q /opt/swarm-operator/lib \
 && /opt/swarm-operator/bin/pip uninstall -q -y pip setuptools

FROM python:3.11-slim
COPY --from=build /opt/swarm-operator /opt/swarm-operator
ENV PATH=/opt/swarm-operator/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["python", "-m", "swarm_operator"]
CMD ["run", "--all-namespaces", "--log-format", "json"]
