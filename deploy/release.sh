#!/usr/bin/env bash
# Builds a release into dist/: the program for each platform, the list of what is in each (SBOM, CycloneDX), and SHA256SUMS.
#
#	deploy/release.sh v1.2.3 [linux/amd64 ...]
#
# From one commit and one version of Go come the same bytes, whatever the folder, the machine and the hour.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'release: %s\n' "$*" >&2; exit "${code:-1}"; }

version=${1:-}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || code=2 fail "a version is like v1.2.3, and not \"$version\""
shift
platforms=("$@")
[ $# -gt 0 ] || platforms=({linux,darwin,windows}/{amd64,arm64})

[ -z "$(git status --porcelain)" ] || fail 'there are changes that no commit has: commit them, or put them away'
tagged=$(git rev-parse -q --verify "$version^{commit}" || true)
[ -z "$tagged" ] || [ "$tagged" = "$(git rev-parse HEAD)" ] || fail "$version is the tag of another commit"

# What a user has set in the environment for other builds is not for this one.
export LC_ALL=C CGO_ENABLED=0 GOFLAGS='' GOWORK=off GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT=''
sbom=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

rm -rf dist
mkdir dist
for platform in "${platforms[@]}"; do
	os=${platform%/*} arch=${platform#*/}
	name=pregon_${version}_${os}_$arch
	file=dist/$name
	[ "$os" != windows ] || file+=.exe
	GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=true -ldflags "-s -w -X github.com/pregon/pregon/cmd.version=$version" -o "$file" ./cmd/pregon
	go run "$sbom" bin -json -std -noserial -notimestamp -version "$version" -output "dist/$name.cdx.json" "$file"
done
(cd dist && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
