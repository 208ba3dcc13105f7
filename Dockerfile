# The engine: worker, tools and the paper PM. Built from the lock, with every hash checked.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1
RUN python -m venv /opt/leverloop
ENV PATH=/opt/leverloop/bin:$PATH
WORKDIR /src
# The dependencies first: they change less often than the code, so that this layer is kept.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY client client
COPY app app
COPY streams streams
COPY tables tables
COPY learning learning
COPY migrations migrations
RUN pip install --no-deps --no-build-isolation ./client .

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/leverloop leverloop
COPY --from=build /opt/leverloop /opt/leverloop
# Numba keeps its compiled kernels here: the packages themselves are not writable for the user.
ENV PATH=/opt/leverloop/bin:$PATH PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR=/var/lib/leverloop/numba
USER leverloop
WORKDIR /var/lib/leverloop
VOLUME /var/lib/leverloop
CMD ["leverloop", "worker"]
