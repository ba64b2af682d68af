.PHONY: init

# The sandbox's init, which the main binary embeds.
init:
	go generate ./internal/sandbox
