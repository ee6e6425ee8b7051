// Package cli is the program's commands, one file each: serve, present, migrate, seed, check, tenants, operators, dbshell.
//
// [Run] takes everything a process has (arguments, environment, working directory, standard streams) and returns the exit
// code, so that tests can run the whole program. The exit code is 0 for success, 2 for wrong arguments or settings, and 1 for
// any other failure; check also returns 3 if it could not look at everything, and dbshell returns psql's. An error is one line
// on standard error that says what is wrong and what to do.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tenanted/app/config"
)

// IO is what a process was given.
type IO struct {
	Program  string   // how the program was called, for messages that suggest another call; empty: tenanted
	Environ  []string // as os.Environ
	Dir      string   // the working directory, where .env is looked for
	In       io.Reader
	Out, Err io.Writer
}

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitUnknown = 3 // check could not look at everything
)

// Run runs the command in args, which do not include the program's name, and returns its exit code. Cancelling ctx asks the
// command to stop.
func Run(ctx context.Context, args []string, streams IO) int {
	streams.Program = cmp.Or(streams.Program, defaultName)
	root := newRoot(&program{IO: streams})
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	err := root.ExecuteContext(ctx)
	var child *childError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &child):
		return child.code // the child has printed its own error
	case ctx.Err() != nil:
		err = errors.New("interrupted")
	}
	for line := range strings.Lines(err.Error()) { // several if several placements failed
		fmt.Fprintf(streams.Err, "tenanted: %s\n", strings.TrimSpace(line))
	}
	return exitCode(err)
}

// usageError is a mistake in the arguments.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// childError is the exit code of a program that a command ran.
type childError struct{ code int }

func (e *childError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func exitCode(err error) int {
	if _, ok := errors.AsType[notCheckedError](err); ok {
		return exitUnknown
	}
	var wrong usageError
	var setting *config.Error
	if errors.As(err, &wrong) || errors.As(err, &setting) {
		return exitUsage
	}
	return exitFailure
}

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:         defaultName,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: p.Program},
		Short:       "A task tracker for many tenants, kept apart by table, schema or database",
		Long: `Tenanted serves a task tracker to many tenants from one process. DJANGO_CONFIGURATION says how they
are kept apart: SingleSchema (default), MultipleDb, MultipleSchemas, or Mixed, in which each may have its own way.

Settings come from the environment and the file .env; .env.example documents them. A private PostgreSQL
is started and used unless PGHOST, DATABASE_URL or another of its variables names a server.`,
		Example: `  PROGRAM serve
  DJANGO_CONFIGURATION=MultipleDb PROGRAM serve --addr localhost:9000
  PROGRAM seed --accounts 20`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs, // so that an unknown command reaches RunE
		RunE:          unknownCommand,
		Version:       version(),

		PersistentPreRunE: noEmptyFlags,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%v: see `%s --help`", err, cmd.CommandPath())
	})
	root.AddCommand(newServe(p), newPresent(p), newMigrate(p), newSeed(p), newCheck(p), newTenants(p), newOperators(p), newDBShell(p))
	callAs(root, p.Program)
	completeValues(root, p)
	return root
}

// callAs replaces PROGRAM by the program's name in the examples of a command and its subcommands.
func callAs(cmd *cobra.Command, program string) {
	cmd.Example = strings.ReplaceAll(cmd.Example, "PROGRAM", program)
	for _, below := range cmd.Commands() {
		callAs(below, program)
	}
}

// noEmptyFlags refuses flags with an empty value, as from an unset shell variable: without the value, the command would do
// more than intended.
func noEmptyFlags(cmd *cobra.Command, _ []string) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if slices.ContainsFunc(values, isBlank) && err == nil {
			err = usage("--%s is empty: give it a value, or leave it out", flag.Name)
		}
	})
	return err
}

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }

// unknownCommand is the RunE of commands that only group others: it prints help, or an error for an unknown subcommand.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	hint := fmt.Sprintf("see `%s --help`", cmd.CommandPath())
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = "did you mean " + strings.Join(similar, " or ") + "?"
	}
	return usage("unknown command %q: %s", args[0], hint)
}

// noArgs is cobra.NoArgs with a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument, and was given %q: see `%s --help`", cmd.Name(), args[0], cmd.CommandPath())
	}
	return nil
}
