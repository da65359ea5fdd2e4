// Package spelling knows the two spellings of a field's name: snake_case, and
// lowerCamelCase as in protobuf's JSON.
package spelling

// Camel is a snake_case name in lowerCamelCase.
func Camel(name string) string {
	camel := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		var c byte
		c, i = next(name, i)
		camel = append(camel, c)
	}
	return string(camel)
}

// Is reports whether key is a snake_case name in either spelling. It takes no memory.
func Is(key, name string) bool {
	if key == name {
		return true
	}
	at := 0
	for i := 0; i < len(name); i++ {
		var c byte
		c, i = next(name, i)
		if at == len(key) || key[at] != c {
			return false
		}
		at++
	}
	return at == len(key)
}

// next is the letter that lowerCamelCase has for the one at i, and where that ends.
func next(name string, i int) (c byte, end int) {
	if name[i] != '_' || i+1 == len(name) {
		return name[i], i
	}
	i++
	if c = name[i]; 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c, i
}
