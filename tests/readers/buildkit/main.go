// Command buildkit shows, as JSON, what BuildKit itself reads from a Dockerfile or keeps of a build context.
//
//	buildkit dockerfile FILE          stages, instructions, checks, and the image and commands that come out
//	buildkit context DIR IGNOREFILE   the files of DIR that are sent to a build
//
// A file that BuildKit refuses ends with status 1 and its message. Nothing is fetched: base images are taken to be empty.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	gofs "io/fs"
	"os"
	"strings"

	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/solver/pb"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"
)

type instruction struct {
	Name   string   `json:"name"`
	Line   int      `json:"line"`
	Flags  []string `json:"flags"`
	Code   string   `json:"code"`
	Detail any      `json:"detail"`
}

type stage struct {
	Name         string        `json:"name"`
	Base         string        `json:"base"`
	Platform     string        `json:"platform"`
	Instructions []instruction `json:"instructions"`
}

type check struct {
	Rule    string `json:"rule"`
	Line    int    `json:"line"`
	Message string `json:"message"`
}

type command struct {
	Args   []string `json:"args"`
	Env    []string `json:"env"`
	User   string   `json:"user"`
	Cwd    string   `json:"cwd"`
	Caches []string `json:"caches"`
}

type reading struct {
	Syntax    string                          `json:"syntax"`
	Arguments []instruction                   `json:"arguments"`
	Stages    []stage                         `json:"stages"`
	Checks    []check                         `json:"checks"`
	Config    dockerspec.DockerOCIImageConfig `json:"config"`
	Sources   []string                        `json:"sources"`
	Commands  []command                       `json:"commands"`
}

// emptyImages answers for every base image that it is an empty one of the platform asked for.
type emptyImages struct{}

func (emptyImages) ResolveImageConfig(
	_ context.Context, ref string, opt sourceresolver.Opt,
) (string, digest.Digest, []byte, error) {
	image := ocispecs.Image{Platform: ocispecs.Platform{OS: "linux", Architecture: "amd64"}}
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		image.Platform = *opt.ImageOpt.Platform
	}
	image.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	// without a layer BuildKit takes it for scratch and forgets its name
	image.RootFS = ocispecs.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString(ref)}}
	config, err := json.Marshal(image)
	return ref, "", config, err
}

func readDockerfile(name string) (*reading, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	result := &reading{
		Arguments: []instruction{}, Stages: []stage{}, Checks: []check{}, Sources: []string{}, Commands: []command{},
	}
	if err := result.parse(text); err != nil {
		return nil, err
	}
	return result, result.convert(text)
}

func (r *reading) parse(text []byte) error {
	file, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if _, _, err := instructions.Parse(file.AST, nil); err != nil {
		return err
	}
	r.Syntax, _, _, _ = parser.DetectSyntax(text)
	for _, node := range file.AST.Children {
		detail, err := instructions.ParseInstruction(node)
		if err != nil {
			return err
		}
		flags := append([]string{}, node.Flags...)
		read := instruction{strings.ToUpper(node.Value), node.StartLine, flags, node.Original, detail}
		if from, ok := detail.(*instructions.Stage); ok {
			r.Stages = append(r.Stages, stage{from.Name, from.BaseName, from.Platform, []instruction{}})
		} else if len(r.Stages) == 0 {
			r.Arguments = append(r.Arguments, read)
		} else {
			last := &r.Stages[len(r.Stages)-1]
			last.Instructions = append(last.Instructions, read)
		}
	}
	return nil
}

func (r *reading) warn(rule, _, _, message string, location []parser.Range) {
	line := 0
	if len(location) > 0 {
		line = location[0].Start.Line
	}
	r.Checks = append(r.Checks, check{rule, line, message})
}

func (r *reading) convert(text []byte) error {
	ctx := context.Background()
	caps := pb.Caps.CapSet(pb.Caps.All())
	built, err := dockerfile2llb.Dockerfile2LLB(ctx, text, dockerfile2llb.ConvertOpt{
		MetaResolver:   emptyImages{},
		LLBCaps:        &caps,
		TargetPlatform: &ocispecs.Platform{OS: "linux", Architecture: "amd64"},
		Warn:           r.warn,
		AllStages:      true,
	})
	if err != nil {
		return err
	}
	r.Config = built.Image.Config
	definition, err := built.State.Marshal(ctx)
	if err != nil {
		return err
	}
	for _, encoded := range definition.Def {
		var op pb.Op
		if err := op.UnmarshalVT(encoded); err != nil {
			return err
		}
		if source := op.GetSource(); source != nil {
			r.Sources = append(r.Sources, source.Identifier)
		}
		if run := op.GetExec(); run != nil {
			r.Commands = append(r.Commands, newCommand(run))
		}
	}
	return nil
}

func newCommand(run *pb.ExecOp) command {
	caches := []string{}
	for _, mount := range run.Mounts {
		if mount.MountType == pb.MountType_CACHE {
			caches = append(caches, mount.Dest)
		}
	}
	return command{run.Meta.Args, run.Meta.Env, run.Meta.User, run.Meta.Cwd, caches}
}

func readContext(directory, ignoreFile string) ([]string, error) {
	text, err := os.ReadFile(ignoreFile)
	if err != nil {
		return nil, err
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	all, err := fsutil.NewFS(directory)
	if err != nil {
		return nil, err
	}
	sent, err := fsutil.NewFilterFS(all, &fsutil.FilterOpt{ExcludePatterns: patterns})
	if err != nil {
		return nil, err
	}
	files := []string{}
	err = sent.Walk(context.Background(), "/", func(path string, entry gofs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

func run(args []string) (any, error) {
	switch {
	case len(args) == 2 && args[0] == "dockerfile":
		return readDockerfile(args[1])
	case len(args) == 3 && args[0] == "context":
		return readContext(args[1], args[2])
	}
	return nil, errors.New("usage: buildkit dockerfile FILE | buildkit context DIR IGNOREFILE")
}

func main() {
	result, err := run(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
