package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/app/web"
	"tenanted/models"
	"tenanted/scopes"
)

func newTenantsUsers(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "users",
		Short: "Users of a tenant: list, invite, give roles, passwords and tokens",
		Long: `An email means a user of one tenant only. These commands do what an admin of the account does on its page /users/, for an
account that has no admin yet, or whose admins cannot sign in. What they change is in the audit log.`,
		Example: `  PROGRAM tenants users list acme
  PROGRAM tenants users invite acme ann@example.com --first-name Ann --last-name Arbor --role admin
  PROGRAM tenants users reset acme ann@example.com`,
		Args: cobra.ArbitraryArgs,
		RunE: unknownCommand,
	}
	cmd.AddCommand(p.usersList(), p.usersInvite(), p.usersReset(), p.usersRole(), p.usersToken())
	return cmd
}

func (p *program) usersList() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:               "list TENANT",
		Short:             "List a tenant's users",
		Example:           "  PROGRAM tenants users list acme",
		Args:              arguments("the tenant"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownFormat(format); err != nil {
				return err
			}
			return p.asAdmin(cmd.Context(), args[0], func(in account) error { return p.listUsers(in, format) })
		},
	}
	addFormat(cmd, &format)
	return cmd
}

func (p *program) usersInvite() *cobra.Command {
	n := models.NewUser{}
	var role string
	cmd := &cobra.Command{
		Use:   "invite TENANT EMAIL",
		Short: "Add a user, and print a link to choose a password with",
		Long: `Adds a user, and prints a link with which they choose a password, once, within a week. Whoever has the link can use it: send it
to them alone.`,
		Example:           "  PROGRAM tenants users invite acme ann@example.com --first-name Ann --last-name Arbor --role admin",
		Args:              arguments("the tenant", "an email"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			n.Email, n.Role = args[1], models.Role(role)
			return p.asAdmin(cmd.Context(), args[0], func(in account) error {
				return in.record("invite user", n.Email, func() error {
					u, secret, err := in.users().Invite(n)
					if err == nil {
						p.sayLink(in, u, secret)
					}
					return err
				})
			})
		},
	}
	cmd.Flags().StringVar(&n.FirstName, "first-name", "", "the user's first name")
	cmd.Flags().StringVar(&n.LastName, "last-name", "", "the user's last name")
	cmd.Flags().StringVar(&role, "role", string(models.Member), "member or admin")
	return cmd
}

func (p *program) usersReset() *cobra.Command {
	return &cobra.Command{
		Use:   "reset TENANT EMAIL",
		Short: "Print a link with which a user chooses a new password",
		Long: `Prints a link with which a user chooses a new password, once, within a day. Until then the old one holds. Whoever has the link
can use it: send it to them alone.`,
		Example:           "  PROGRAM tenants users reset acme ann@example.com",
		Args:              arguments("the tenant", "a user's email"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.onUser(cmd.Context(), args, "reset password", func(in account, u models.User) error {
				u, secret, err := in.users().NewReset(u.ID)
				if err == nil {
					p.sayLink(in, u, secret)
				}
				return err
			})
		},
	}
}

func (p *program) usersRole() *cobra.Command {
	return &cobra.Command{
		Use:               "role TENANT EMAIL ROLE",
		Short:             "Make a user a member or an admin",
		Long:              "It counts from the user's next page on. An account keeps an admin.",
		Example:           "  PROGRAM tenants users role acme ann@example.com admin",
		Args:              arguments("the tenant", "a user's email", "a role"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.onUser(cmd.Context(), args, "role "+args[2], func(in account, u models.User) error {
				err := in.users().SetRole(u.ID, models.Role(args[2]))
				if err == nil {
					p.say(fmt.Sprintf("%s is %s of %s", u.Email, args[2], in.tenant.Slug))
				}
				return err
			})
		},
	}
}

func (p *program) usersToken() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "token TENANT EMAIL",
		Short: "Make an API token of a user, and print it",
		Long: `Makes a token with which a program works as a user: "Authorization: Bearer TOKEN". It is printed once, alone on a line of the
standard output. The user revokes it at /account/tokens/.`,
		Example:           "  PROGRAM tenants users token acme ann@example.com --name backup",
		Args:              arguments("the tenant", "a user's email"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.onUser(cmd.Context(), args, "token "+name, func(in account, u models.User) error {
				secret, err := in.tokens().Create(u.ID, name)
				if err == nil {
					p.say(secret)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "made on the command line", "what the token is for")
	return cmd
}

// account is a tenant, in whose name a command works as an admin.
type account struct {
	ctx     context.Context
	cfg     config.Config
	tenant  scopes.Tenant
	models  models.Models
	creator *tenancy.Creator
}

func (a account) users() models.UserManager      { return a.models.Users(a.ctx) }
func (a account) tokens() models.APITokenManager { return a.models.APITokens(a.ctx) }

// record writes what is done into the audit log.
func (a account) record(action, detail string, work func() error) error {
	return a.creator.Record(a.ctx, action, a.tenant, detail, work)
}

// asAdmin runs work as an admin of a tenant, over the runtime role's connections with all layers of isolation.
func (p *program) asAdmin(ctx context.Context, tenant string, work func(account) error) error {
	return p.with(ctx, func(s *server) error {
		if err := p.prepare(ctx, s); err != nil {
			return err
		}
		app, err := tenancy.Open(ctx, s.cfg, p.logger("text"))
		if err != nil {
			return err
		}
		defer app.Close()
		return p.withCreatorOn(ctx, s, func(c *tenancy.Creator) error {
			entry, err := c.Find(ctx, tenant)
			if err != nil {
				return err
			}
			if entry.State != tenancy.StateActive && entry.State != tenancy.StateSuspended {
				return fmt.Errorf("tenant %s is in state %q, and has no users to look after: complete it first", entry.Slug, entry.State)
			}
			ctx := models.WithActor(scopes.WithTenant(ctx, entry.Tenant), models.Actor{Role: models.Admin, Name: s.cfg.Operator})
			return usersProblem(work(account{ctx, s.cfg, entry.Tenant, models.New(app.DB), c}))
		})
	})
}

// onUser is asAdmin for work on the user whose email is the second argument. It is in the audit log.
func (p *program) onUser(ctx context.Context, args []string, action string, work func(account, models.User) error) error {
	return p.asAdmin(ctx, args[0], func(in account) error {
		u, err := in.users().ByEmail(args[1])
		if errors.Is(err, models.ErrNotFound) {
			return fmt.Errorf("tenant %s has no user %q: see %s", in.tenant.Slug, args[1], in.cfg.Command("tenants users list "+in.tenant.Slug))
		}
		if err != nil {
			return err
		}
		return in.record(action, u.Email, func() error { return work(in, u) })
	})
}

// usersProblem has what is wrong with an argument be a mistake in usage.
func usersProblem(err error) error {
	if wrong, ok := errors.AsType[*models.InvalidError](err); ok {
		field, problem := wrong.First()
		return usage("%s: %s", strings.ReplaceAll(field, "_", "-"), problem)
	}
	return err
}

// sayLink prints where, at the tenant's address, a user chooses a password. Elsewhere than on one's own machine there is TLS in front.
func (p *program) sayLink(in account, u models.User, secret string) {
	host, scheme, port := in.cfg.AllowedHosts[0], "https", ""
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		scheme, port = "http", ":8080"
	}
	p.say(fmt.Sprintf("%s chooses a password, once, at\n%s://%s.%s%s%s", u.Email, scheme, in.tenant.Slug, host, port, web.ResetPath(secret)))
}

// listedUser is a user as JSON.
type listedUser struct {
	ID     int64       `json:"id"`
	Email  string      `json:"email"`
	Name   string      `json:"name"`
	Role   models.Role `json:"role"`
	Active bool        `json:"active"`
}

// usersPerPage is how many users are read at once.
const usersPerPage = 1000

func (p *program) listUsers(in account, format string) error {
	listed := []listedUser{} // [] and not null, where there is none
	for number := 1; ; number++ {
		users, page, err := in.users().Page("", number, usersPerPage)
		if err != nil {
			return err
		}
		for _, u := range users {
			listed = append(listed, listedUser{u.ID, u.Email, u.Name(), u.Role, u.DeactivatedAt == nil})
		}
		if page.Number >= page.Pages {
			break
		}
	}
	if format == formatJSON {
		return writeJSON(p.Out, listed)
	}
	table := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tEMAIL\tNAME\tROLE\tSTATE")
	for _, u := range listed {
		state := "active"
		if !u.Active {
			state = "deactivated"
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", u.ID, u.Email, u.Name, u.Role, state)
	}
	return table.Flush()
}
