FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /pregon ./cmd/pregon

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /pregon /pregon
USER 65532:65532
ENV PREGON_LISTEN=:8000
EXPOSE 8000
ENTRYPOINT ["/pregon"]
