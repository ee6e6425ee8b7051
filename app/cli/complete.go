package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/internal/localpg"
)

// completionTime bounds how long completion may take, and maxCompletions how many values it offers.
const (
	completionTime = time.Second
	maxCompletions = 1000
)

// completeValues sets the completion of all flags: those in choices, and no file names for the others.
func completeValues(cmd *cobra.Command, p *program) {
	choices := map[string]cobra.CompletionFunc{
		"format":     cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp),
		"access-log": cobra.FixedCompletions(logFormats, cobra.ShellCompDirectiveNoFileComp),
		"accounts":   cobra.FixedCompletions([]cobra.Completion{"1", "5", "10", "100", "1000"}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder),
		"addr":       cobra.FixedCompletions([]cobra.Completion{"localhost:8080", ":8080"}, cobra.ShellCompDirectiveNoFileComp),
		"pprof":      cobra.FixedCompletions([]cobra.Completion{"localhost:6060"}, cobra.ShellCompDirectiveNoFileComp),
		"tenant":     p.completeFrom(func(e tenancy.Entry) string { return e.Slug }),
		"database":   p.completeFrom(func(e tenancy.Entry) string { return e.InSchema("").String() }),
		"server":     p.completeServers,
	}
	cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
		complete, ok := choices[flag.Name]
		if !ok {
			complete = cobra.NoFileCompletions
		}
		_ = cmd.RegisterFlagCompletionFunc(flag.Name, complete) // fails for a flag that has one already
	})
	if cmd.ValidArgsFunction == nil && cmd.Runnable() {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, below := range cmd.Commands() {
		completeValues(below, p)
	}
}

// completeFrom completes a property of the tenants in the directory. Without a running server, or without an owner, it offers
// nothing.
func (p *program) completeFrom(of func(tenancy.Entry) string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		found := make(chan []tenancy.Entry, 1)
		go func() { found <- p.entriesAtHand(ctx) }()
		var values []cobra.Completion
		select {
		case entries := <-found:
			for _, entry := range entries {
				values = append(values, of(entry))
			}
		case <-ctx.Done():
		}
		slices.Sort(values)
		return slices.Compact(values), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeServers completes the names of the further servers.
func (p *program) completeServers(*cobra.Command, []string, string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
	if cfg, err := p.load(); err == nil {
		for _, server := range cfg.Servers()[1:] {
			names = append(names, server.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// entriesAtHand lists the tenants if the server runs already. It ignores errors.
func (p *program) entriesAtHand(ctx context.Context) []tenancy.Entry {
	cfg, err := p.load()
	if err == nil && cfg.Private() {
		cfg, err = besideOthers(cfg)
	}
	if err != nil {
		return nil
	}
	directory, err := tenancy.OpenDirectory(ctx, cfg)
	if err != nil {
		return nil
	}
	defer directory.Close()
	entries, _ := directory.List(ctx, tenancy.BySlug, maxCompletions)
	return entries
}

// besideOthers returns cfg with the address of the private server, if that is running.
func besideOthers(cfg config.Config) (config.Config, error) {
	host, port, err := localpg.Find(localpg.Options{Dir: cfg.LocalDir})
	if err != nil {
		return cfg, err
	}
	return cfg.At(host, port)
}
