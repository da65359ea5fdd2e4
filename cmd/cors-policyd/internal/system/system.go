// Package system is what a server has to arrange with the operating system, which differ in it.
package system
