# docker build -t p2penergy:0.1.0 .   Each node's folder is mounted at /home/node; see docs/operating.md.
FROM python:3.13-slim
COPY pyproject.toml README.md LICENSE /src/
COPY p2penergy /src/p2penergy
COPY transport /src/transport
RUN pip install --no-cache-dir /src && rm -r /src
ENTRYPOINT ["p2penergy"]
