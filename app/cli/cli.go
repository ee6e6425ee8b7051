// Package cli is the program's commands, one file each: serve, present, migrate, seed, check, tenants, operators, dbshell.
//
// [Run] takes everything a process has (arguments, environment, working directory, standard streams) and
// returns the exit code, so that tests drive the whole program. Exit codes are 0 for success, 2 for wrong
// arguments or settings, and 1 for everything else that fails; check has 3 for what it could not look at, and dbshell passes on psql's. An error is one line
// on the standard error that says what is wrong and what to do.
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
	Program  string   // how the program was called, for advice on further calls; empty: tenanted
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

// Run runs the command that args name (without the program's own name) and returns its exit code. The end of ctx
// asks the command to stop.
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
		return child.code // it has said itself what is wrong
	case ctx.Err() != nil:
		err = errors.New("interrupted")
	}
	for line := range strings.Lines(err.Error()) { // several when several placements failed
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
		Args:          cobra.ArbitraryArgs, // so that an unknown command comes to RunE
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

// callAs writes the program's name into the examples of a command and those below it, where they say PROGRAM.
func callAs(cmd *cobra.Command, program string) {
	cmd.Example = strings.ReplaceAll(cmd.Example, "PROGRAM", program)
	for _, below := range cmd.Commands() {
		callAs(below, program)
	}
}

// noEmptyFlags refuses flags that were given and say nothing, as from a variable of the shell that is not set: without its
// value, a command would do more than was meant.
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

// unknownCommand is what a command that only groups others runs: its help, or a refusal of what is none of them.
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

// noArgs refuses arguments, as cobra.NoArgs does, but as a mistake in usage.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument, and was given %q: see `%s --help`", cmd.Name(), args[0], cmd.CommandPath())
	}
	return nil
}
