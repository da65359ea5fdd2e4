package main

import "github.com/spf13/cobra"

func newConvert() *cobra.Command { return &cobra.Command{Use: "convert"} }
