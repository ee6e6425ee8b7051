package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tenanted/app/tenancy"
	"tenanted/models"
)

func newOperators(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "operators",
		Short: "Say who may look after the tenants on the web",
		Long: `Operators sign in at the bare domain. There they see the tenants and the list over all of them, create and suspend
tenants, and are signed in as a tenant's user for a while, each with their name in the audit log (` + "`tenants log`" + `).`,
		Example: "  PROGRAM operators add ann\n  PROGRAM operators list",
		Args:    cobra.ArbitraryArgs,
		RunE:    unknownCommand,
	}
	add := p.passwordCommand("add", "Let somebody sign in as an operator",
		"Names have letters a to z, digits and . _ @ -, at most 64.", "operator %s may sign in", (*tenancy.Operators).Add)
	password := p.passwordCommand("password", "Give an operator a new password",
		"The operator's sessions end.", "operator %s has a new password", (*tenancy.Operators).SetPassword)
	cmd.AddCommand(add, newOperatorsList(p), newOperatorsRemove(p), password)
	return cmd
}

// passwordCommand is a command that gives an operator a password: one that it makes up and shows, or one from the standard input.
// No argument has it, since other users of the machine see those.
func (p *program) passwordCommand(verb, short, long, done string, change func(*tenancy.Operators, context.Context, string, string) error) *cobra.Command {
	var fromStdin bool
	cmd := &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Long:  long + " A password is made up and printed, once, unless --password-stdin gives one.",
		Example: `  PROGRAM operators ` + verb + ` ann
  pass show tenanted | PROGRAM operators ` + verb + ` ann --password-stdin`,
		Args: arguments("the operator's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validOperator(args[0]); err != nil {
				return err
			}
			password := rand.Text()
			if fromStdin {
				var err error
				if password, err = readPassword(p.In); err != nil {
					return err
				}
			}
			return p.withOperators(cmd.Context(), func(o *tenancy.Operators) error {
				err := change(o, cmd.Context(), args[0], password)
				if wrong, ok := errors.AsType[*models.InvalidError](err); ok {
					_, problem := wrong.First()
					return usage("--password-stdin: %s", strings.ToLower(strings.TrimSuffix(problem, ".")))
				}
				if err != nil {
					return err
				}
				p.say(fmt.Sprintf(done, args[0]))
				if !fromStdin {
					p.say("password: " + password)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from the standard input, its first line")
	return cmd
}

func validOperator(name string) error {
	if !tenancy.ValidOperator(name) {
		return usage("%q is not an operator's name: use letters a to z, digits and . _ @ -, at most 64, beginning with a letter or digit", name)
	}
	return nil
}

// readPassword returns the first line.
func readPassword(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, 10*models.MaxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func newOperatorsRemove(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME",
		Short:   "Let an operator sign in no longer",
		Long:    "The operator's sessions end, also as a tenant's user. What the operator did stays in the audit log.",
		Example: "  PROGRAM operators remove ann",
		Args:    arguments("the operator's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validOperator(args[0]); err != nil {
				return err
			}
			return p.withOperators(cmd.Context(), func(o *tenancy.Operators) error {
				err := o.Remove(cmd.Context(), args[0])
				if err == nil {
					p.say(fmt.Sprintf("operator %s may sign in no longer", args[0]))
				}
				return err
			})
		},
	}
}

func newOperatorsList(p *program) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the operators",
		Long:    "Lists the operators, and when those who are signed in did so last.",
		Example: "  PROGRAM operators list\n  PROGRAM operators list --format json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := knownFormat(format); err != nil {
				return err
			}
			return p.withOperators(cmd.Context(), func(o *tenancy.Operators) error {
				list, err := o.List(cmd.Context())
				switch {
				case err != nil:
					return err
				case format == formatJSON:
					return writeJSON(p.Out, operatorsJSON(list))
				default:
					return writeOperators(p.Out, list)
				}
			})
		},
	}
	addFormat(cmd, &format)
	return cmd
}

func writeOperators(w io.Writer, list []tenancy.OperatorEntry) error {
	if len(list) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tADDED\tSIGNED IN")
	for _, o := range list {
		seen := "no"
		if o.SignedIn != nil {
			seen = timeText(*o.SignedIn)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", o.Name, timeText(o.Created), seen)
	}
	return table.Flush()
}

// listedOperator is an operator as JSON.
type listedOperator struct {
	Name     string     `json:"name"`
	Created  time.Time  `json:"created"`
	SignedIn *time.Time `json:"signed_in"`
}

func operatorsJSON(list []tenancy.OperatorEntry) []listedOperator {
	out := make([]listedOperator, len(list)) // [] and not null, where there is none
	for i, o := range list {
		if o.SignedIn != nil {
			at := o.SignedIn.UTC()
			o.SignedIn = &at
		}
		out[i] = listedOperator{o.Name, o.Created.UTC(), o.SignedIn}
	}
	return out
}

// withOperators runs work on databases that are set up.
func (p *program) withOperators(ctx context.Context, work func(*tenancy.Operators) error) error {
	return p.with(ctx, func(s *server) error {
		if err := p.prepare(ctx, s); err != nil {
			return err
		}
		directory, err := tenancy.OpenDirectory(ctx, s.cfg)
		if err != nil {
			return err
		}
		defer directory.Close()
		operators, err := directory.Operators(nil)
		if err != nil {
			return err
		}
		return work(operators)
	})
}
