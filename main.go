// Tenanted serves a task tracker to many tenants from one process. See the commands in app/cli.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"tenanted/app/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the program at once
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tenanted: no working directory:", err)
		os.Exit(1)
	}
	executable, _ := os.Executable() // without it, nothing is known but the first argument
	os.Exit(cli.Run(ctx, os.Args[1:], cli.IO{Program: cli.ProgramName(os.Args[0], executable), Environ: os.Environ(), Dir: dir, In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
