package main

import "github.com/spf13/cobra"

func newSchema() *cobra.Command { return &cobra.Command{Use: "schema"} }
