package config

//go:generate go run ./generate
