"""Orders the documents of a language from easy to hard: ascending by the backbone's own perplexity (Llama-3-SynE).

The model that training starts from reads every planned document of that language. Its documents then come in ascending
order of perplexity, spread evenly by bytes among the others, which stay shuffled. What comes out are the mix's plans in
the new order; `pack` takes them in place of the mix's. Without a language to order, nothing is read or written.
"""
