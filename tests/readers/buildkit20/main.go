// Command buildkit20 reads a Dockerfile as BuildKit 0.8 does, the one inside Docker 20.10, the oldest that is supported.
//
// A file that it refuses ends with status 1 and its message.
package main

import (
	"fmt"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

func read(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		return err
	}
	stages, _, err := instructions.Parse(parsed.AST)
	if err != nil {
		return err
	}
	for _, stage := range stages {
		for _, command := range stage.Commands {
			if err := expand(command, parsed.EscapeToken); err != nil {
				return fmt.Errorf("line %d: %w", command.Location()[0].Start.Line, err)
			}
		}
	}
	return nil
}

func expand(command instructions.Command, escape rune) error {
	expandable, ok := command.(instructions.SupportsSingleWordExpansion)
	if !ok {
		return nil
	}
	lex := shell.NewLex(escape)
	return expandable.Expand(func(word string) (string, error) { return lex.ProcessWord(word, nil) })
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: buildkit20 FILE")
		os.Exit(1)
	}
	if err := read(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
