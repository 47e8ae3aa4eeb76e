.PHONY: test release

test:
	go test ./...

# make release VERSION=v1.2.3: see deploy/README.md.
release:
	deploy/release.sh '$(VERSION)'
