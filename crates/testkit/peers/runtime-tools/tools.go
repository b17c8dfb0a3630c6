//go:build tools

// Package tools keeps the validation programs' dependencies in go.mod.
package tools

import (
	_ "github.com/opencontainers/runtime-tools/cmd/runtimetest"
	_ "github.com/opencontainers/runtime-tools/validation/default"
)
