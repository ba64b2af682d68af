// Command coverage writes docs/coverage.md from the services' tables:
//
//	go run ./tools/coverage > docs/coverage.md
package main

import (
	"context"
	"log"
	"os"

	"github.com/bastide-cloud/bastide/internal/app"
)

func main() {
	if err := app.Coverage(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
