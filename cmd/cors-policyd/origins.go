package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/database"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/policies"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/server"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A change is what is to be done with the origins of a policy.
type change struct {
	file, policy *string
	settings     *settings.Settings
	db           *database.DB
}

func newOrigins(file *string) *cobra.Command {
	var policy string
	c := &cobra.Command{
		Use:   "origins",
		Short: "Add, remove and list the origins of the table cors_origins",
		Long: `origins keeps the origins of policies in a table of its own, cors_origins(policy, origin,
created_at), which it makes where it is missing. A policy has them by {table: true} in its
allow_origins.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.PersistentFlags().StringVar(&policy, "policy", "", "the name of the policy")
	change := &change{file: file, policy: &policy}
	command := func(use, short, long string, do func(c *cobra.Command, origins []string) error) {
		c.AddCommand(&cobra.Command{
			Use: use, Short: short, Long: long,
			RunE: func(c *cobra.Command, origins []string) error { return change.run(c, origins, do) },
		})
	}
	command("add -c FILE --policy NAME ORIGIN…", "Add origins to a policy",
		`add adds origins. Each is checked first, as POST /v1/check does; if one is wrong, it says
what to write instead, adds none, and exits with 1.`, change.add)
	command("remove -c FILE --policy NAME ORIGIN…", "Remove origins from a policy",
		"remove removes origins, as they stand in the table.", change.remove)
	command("list -c FILE --policy NAME", "List the origins of a policy",
		"list prints the origins, one a line.", change.list)
	return c
}

// run opens the database and does it.
func (ch *change) run(c *cobra.Command, origins []string, do func(*cobra.Command, []string) error) (err error) {
	switch {
	case *ch.policy == "":
		return usage("--policy is missing, the name of the policy")
	case (c.Name() == "list") != (len(origins) == 0):
		if c.Name() == "list" {
			return usage("list takes no arguments")
		}
		return usage(c.Name() + " needs one origin at least")
	}
	if ch.settings, err = load(c, *ch.file); err != nil {
		return err
	}
	ch.db, err = database.Open(database.Options{
		URL: ch.settings.Database, Timeout: ch.settings.Timeout, Connections: 1,
	})
	if err != nil {
		return err
	}
	defer func() { _ = ch.db.Close() }() // all is done
	return do(c, origins)
}

func (ch *change) rows(origins []string) (rows []database.Origin) {
	for _, o := range origins {
		rows = append(rows, database.Origin{Policy: *ch.policy, Origin: o})
	}
	return rows
}

func (ch *change) add(c *cobra.Command, origins []string) error {
	credentials, known := server.Credentials(ch.settings, *ch.policy)
	if !known {
		return usage("the configuration has no policy " + problem.Quote(*ch.policy))
	}
	wrong := false
	for _, o := range origins {
		for _, p := range policies.Check(o, credentials) {
			suffix := " (warning)"
			if !p.Warning {
				wrong, suffix = true, ""
			}
			text := p.What
			if p.Instead != "" {
				text += "; " + p.Instead
			}
			fmt.Fprintln(c.ErrOrStderr(), printable(text+suffix))
		}
	}
	if wrong {
		return errFindings
	}
	n, err := ch.db.Add(c.Context(), ch.rows(origins))
	if err != nil {
		return err
	}
	others := ""
	if n < len(origins) {
		others = "; the others were there"
	}
	fmt.Fprintf(c.OutOrStdout(), "added %d of %d%s\n", n, len(origins), others)
	if !ch.reads() {
		fmt.Fprintf(c.ErrOrStderr(), "nothing in the configuration reads cors_origins for the policy %s; "+
			"write {table: true} into its allow_origins (warning)\n", problem.Quote(*ch.policy))
	}
	return nil
}

// reads reports whether the table's rows have an effect on the policy.
func (ch *change) reads() bool {
	queries := []string{ch.settings.Lookups[*ch.policy]}
	if ch.settings.Template != nil {
		for _, p := range ch.settings.Template.Policies {
			if p.Rows == "" && p.Name != *ch.policy {
				continue
			}
			queries = append(queries, p.Rows)
			for _, o := range p.Origins {
				queries = append(queries, o.Query)
			}
		}
	}
	return strings.Contains(strings.ToLower(strings.Join(queries, "\n")), "cors_origins")
}

func (ch *change) remove(c *cobra.Command, origins []string) error {
	n, err := ch.db.Remove(c.Context(), ch.rows(origins))
	if err == nil {
		fmt.Fprintf(c.OutOrStdout(), "removed %d of %d\n", n, len(origins))
	}
	return err
}

func (ch *change) list(c *cobra.Command, _ []string) error {
	return ch.db.List(c.Context(), *ch.policy, func(origin string) error {
		_, err := fmt.Fprintln(c.OutOrStdout(), printable(origin))
		return err
	})
}
